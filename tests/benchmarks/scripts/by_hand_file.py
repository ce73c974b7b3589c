"""What one would write to send nothing at an unchanged start: it compares with what ``by_hand`` keeps."""

import json
import sys


def main() -> None:
    _, _, _, _, folder, handle = sys.argv[1:]
    with open(f"{folder}/device.json") as file:
        assert json.load(file)["handle"] == handle
