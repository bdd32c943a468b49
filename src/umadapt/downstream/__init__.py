"""What an encoder is worth on tasks that it never saw (Table 8): classes of photos, boxes around things."""
