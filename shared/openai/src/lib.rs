//! A thin, tolerant client for the OpenAI calls that the consumers make.
