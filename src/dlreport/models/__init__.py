"""The sequence models by the name that params.yaml gives them."""

from dlreport.models.lstm import LSTM
from dlreport.models.rnn import VanillaRNN

SEQUENCE_MODELS = {"VanillaRNN": VanillaRNN, "LSTM": LSTM}
