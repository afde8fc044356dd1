//! StatsD and DogStatsD.
