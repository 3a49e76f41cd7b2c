//! Telling other systems (EventBridge) and people (SNS) how it ended.
