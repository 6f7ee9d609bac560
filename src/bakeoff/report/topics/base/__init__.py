"""What all topics share: how claims are asked, judged and worded, and how figures become tables."""
