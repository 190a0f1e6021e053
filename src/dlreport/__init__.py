"""Palindromes (VanillaRNN against LSTM) and a GAN on MNIST: the library behind the stages."""
