"""How encoders are trained and measured: texts, tokenizer, towers, loss, trainer, evaluation."""
