#!/bin/sh
# Install Chromium for the browser tests, where it is missing and can be had: on Debian or Ubuntu, as root.
#
# Never fails: without a Chromium those tests are skipped, and say why.
for name in chromium chromium-browser google-chrome; do
	command -v "$name" >/dev/null && exit 0
done
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0

echo "Installing Chromium for the browser tests."
export DEBIAN_FRONTEND=noninteractive
{ apt-get update && apt-get install --yes --no-install-recommends chromium; } </dev/null >/dev/null 2>&1 ||
	echo "Chromium could not be installed; the browser tests are skipped."
exit 0
