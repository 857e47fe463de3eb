"""What is learned: a package for each kind of problem. No kind imports another."""
