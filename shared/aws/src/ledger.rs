//! Which events, effects and jobs are where (DynamoDB).
