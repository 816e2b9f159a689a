"""What is found out of the skills before the first tensor is merged: cutoffs, angles, scales, unified vectors."""
