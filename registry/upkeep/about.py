"""What each number about a store is, in words."""

ABOUT = {
    "versions": "Versions of models on record, by kind and state.",
    "objects": "Objects on record.",
    "object_bytes": "Bytes of all objects on record.",
    "quota_bytes": "Bytes that objects may take together; absent without a quota.",
    "objects_never_read": "Objects that were not read whole since they were stored.",
    "oldest_read_seconds": "How long ago the object was read whole that was not read for longest.",
    "outbox_messages": "Messages to MLflow that wait for delivery.",
    "outbox_oldest_seconds": "How long the oldest of them has waited; absent when none does.",
    "garbage_objects": "Objects that gc has noted and not deleted yet.",
    "garbage_bytes": "Their bytes, as far as these are on record.",
    "audit_events": "Events in the audit chain.",
    "writers": "Processes that are storing objects just now.",
    "cache_bytes": "Bytes of materialized models in the cache.",
    "quarantine_bytes": "Bytes of damaged objects that repair has put aside.",
    "free_bytes": "Bytes that may still be written on the filesystem of the store.",
}
"""What each number is."""
