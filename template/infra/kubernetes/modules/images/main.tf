# The registry is there before the cluster, and the nodes' right to pull is the cluster's own. Here the
# names are checked: a version is a tag, so cloud.image has none, and a job's image is never `latest`.
