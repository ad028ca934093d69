"""What training methods share: streams of images, students and teachers, shares of the classes."""
