"""What the example pictures are drawn with: Pillow for shapes and letters, numpy for light and texture."""
