//! OpenAI's webhooks without I/O: the signature check, the event model, the categories.
