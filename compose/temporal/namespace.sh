#!/bin/sh
# Makes Ferry's namespace, or gives the one that is there its retention, and waits until the server's parts know it. May be repeated.
set -eu
namespace="temporal operator namespace"
if $namespace describe >/dev/null 2>&1; then
	$namespace update --retention "$RETENTION"
else
	$namespace create --retention "$RETENTION"
fi
until temporal workflow list --limit 1 >/dev/null 2>&1; do sleep 1; done
