"""Workers as Ray actors, and what Ray needs around them."""
