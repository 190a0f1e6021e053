"""The library behind the stages: Part 1 (palindromes, VanillaRNN against LSTM) and Part 2 (a GAN on MNIST)."""
