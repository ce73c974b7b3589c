"""Where push channels come from, behind one Protocol."""
