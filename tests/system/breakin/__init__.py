"""Input that is made to break retain: tables, params files, requests and kills."""
