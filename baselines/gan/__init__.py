"""Conditional GAN (pix2pix): the U-Net as generator, a PatchGAN critic, adversarial plus L1 loss."""
