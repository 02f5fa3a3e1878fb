// What the new system does once, when it first comes up: it tells the image server so, then removes what did it. Only
// that word counts as installed. Nothing of the image is needed for it but systemd: the shell and the HTTP client are the
// installer's busybox.

import { shellQuoted } from './sitescripts.ts';
import { HEADER } from './targetfiles.ts';

/** From the root of the target, like every path here. */
export const FIRST_BOOT_FOLDER = 'usr/lib/swarmboot';
export const FIRST_BOOT_SCRIPT = `${FIRST_BOOT_FOLDER}/first-boot`;
export const FIRST_BOOT_MESSAGE = `${FIRST_BOOT_FOLDER}/rebooted.json`;
export const FIRST_BOOT_BUSYBOX = `${FIRST_BOOT_FOLDER}/busybox`;
export const FIRST_BOOT_UNIT = 'etc/systemd/system/swarmboot-first-boot.service';
/** What `systemctl enable` would make. */
export const FIRST_BOOT_LINK = 'etc/systemd/system/multi-user.target.wants/swarmboot-first-boot.service';

const TRIES = 60;
const TRY_SECONDS = 5;
/** Not wget's own -T: Debian's static busybox 1.35 crashes on it. */
const ANSWER_SECONDS = 10;

/** The unit. Of type exec, so that no other unit waits for it. */
export function firstBootUnit(): string {
  return `${HEADER}[Unit]
Description=Tells the image server that this machine has come up
Wants=network-online.target
After=network-online.target
ConditionPathExists=/${FIRST_BOOT_SCRIPT}

[Service]
Type=exec
ExecStart=/${FIRST_BOOT_SCRIPT}

[Install]
WantedBy=multi-user.target
`;
}

/** The script: sends the message to one of `urls`, for some minutes; a later boot tries again when nobody took it. */
export function firstBootScript(urls: readonly string[]): string {
  return `#!/${FIRST_BOOT_BUSYBOX} sh
${HEADER}here=/${FIRST_BOOT_FOLDER}
told() {
  for url in ${urls.map(shellQuoted).join(' ')}; do
    "$here/busybox" timeout ${ANSWER_SECONDS} "$here/busybox" wget -q -O /dev/null \\
      --header 'Content-Type: application/json' --post-file "/${FIRST_BOOT_MESSAGE}" "$url" && return
  done
  return 1
}
tries=0
until told; do
  tries=$((tries + 1))
  if [ "$tries" -ge ${TRIES} ]; then
    echo "swarmboot: no answer from" ${urls.map(shellQuoted).join(' ')}"; the next boot tries again" >&2
    exit 1
  fi
  "$here/busybox" sleep ${TRY_SECONDS}
done
"$here/busybox" rm -f /${FIRST_BOOT_LINK} /${FIRST_BOOT_UNIT}
exec "$here/busybox" rm -rf "$here"
`;
}
