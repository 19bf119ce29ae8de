"""Where messages wait, durable, whose sender does not keep them and which the database cannot take:
checksummed records in segments, fsynced before the acknowledgement, drained when it is back."""
