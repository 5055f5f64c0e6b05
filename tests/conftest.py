"""What every suite shares. Timing tests form one group, so that parallel runs give them to a single worker."""
