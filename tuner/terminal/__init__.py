"""What people read on the screen: the live table, leaderboards, how a search ended. Control characters never pass."""
