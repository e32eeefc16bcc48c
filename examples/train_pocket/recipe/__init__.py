"""The stages that make the pocket model: icons in, a diffusers folder out."""
