// Loaded into a worker before its own code (node --import). Its copiers get no environment from it, but they must know of faulty files.
import childProcess from 'node:child_process';
import { syncBuiltinESMExports } from 'node:module';

const { LD_PRELOAD, FERRY_FAULTY_FILES } = process.env;
const { fork } = childProcess;
childProcess.fork = ((module: string, args: string[], options: childProcess.ForkOptions) =>
  fork(module, args, { ...options, env: { ...options.env, LD_PRELOAD, FERRY_FAULTY_FILES } })) as typeof fork;
syncBuiltinESMExports();
