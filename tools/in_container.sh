#!/bin/sh
# Run a command in `project`, a clone of $SOURCE in the current folder, at the commit that $SOURCE has now. Results and
# checkpoints of the last run stay while that commit does; after another one DVC's cache still has the results.
set -eu
git init --quiet project
cd project
commit=$(git -C "$SOURCE" rev-parse --verify HEAD) || {
    echo "error: $SOURCE is no repository with a commit; mount yours there: -v \"\$PWD\":$SOURCE:ro" >&2
    exit 1
}
if [ "$(git rev-parse --verify --quiet HEAD)" != "$commit" ]; then
    git fetch --quiet "$SOURCE" HEAD
    git checkout --quiet --force --detach FETCH_HEAD
fi
exec "$@"
