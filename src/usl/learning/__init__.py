"""What pre-training, USL-T, semi-supervised and active learning share: one training loop."""
