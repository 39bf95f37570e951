#!/usr/bin/env node
// What `ferry` of a release is: says which Node it needs before anything is loaded that an older one does not understand.
import process from 'node:process';

const needed = 24;
if (Number(process.versions.node.split('.')[0]) < needed) {
  console.error(`Ferry needs Node ${needed} or newer; this is ${process.versions.node} (${process.execPath}).`);
  process.exit(1);
}
await import('./ferry.ts');
