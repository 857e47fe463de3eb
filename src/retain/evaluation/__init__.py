"""What every kind shares to judge a model: intervals, quality gate, report, figures."""
