"""What encoders share: resizing, threads, and files of weights from anywhere."""
