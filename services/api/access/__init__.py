"""Who asks and whether they may: one dependency for every route (guard), and what it rests on."""
