# A cluster has no object store of its own, and each S3-compatible one makes buckets in its own way: its
# keeper makes the bucket that environments/ names, versioned, encrypted, shut to the public, and lets the
# service account NAME-job of the namespace in. Here its names are checked.
