// The subcommands of `swarmboot`, in the order in which help and manual list them.

import { boelBuild } from './boel.ts';
import type { Command } from './command.ts';
import { fetch } from './fetch.ts';
import { initrdBuild } from './initrd.ts';
import { inspect } from './inspect.ts';
import { layoutCheck } from './layout.ts';
import { list } from './list.ts';
import { logs, nodeArm, nodeDisarm, nodeList, nodeRevoke } from './node.ts';
import { publish } from './publish.ts';
import { pxeConfig } from './pxe.ts';
import { remove } from './remove.ts';
import { report } from './report.ts';
import { serve } from './serve.ts';
import { keygen, manifest, sign, verify } from './sign.ts';
import { simulate } from './simulate.ts';
import { status } from './status.ts';
import { init } from './tls.ts';
import { unpack } from './unpack.ts';

export const COMMANDS: readonly Command[] = [
  publish,
  list,
  remove,
  serve,
  fetch,
  inspect,
  unpack,
  boelBuild,
  initrdBuild,
  layoutCheck,
  init,
  keygen,
  manifest,
  sign,
  verify,
  pxeConfig,
  nodeArm,
  nodeDisarm,
  nodeRevoke,
  nodeList,
  status,
  logs,
  report,
  simulate,
];
