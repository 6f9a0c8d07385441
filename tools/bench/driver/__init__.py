"""What every benchmark is made of: sides (a server under load), loads (clients), pairs (A B A B …), accounting, report."""
