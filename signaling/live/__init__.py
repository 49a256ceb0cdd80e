"""The consultations that people of this process are in: followed, told to them, carried out."""
