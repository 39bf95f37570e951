// node setup/download-temporal.mjs VERSION FOLDER: puts the Temporal CLI into the folder, from where Temporal's own SDK
// gets it for its tests. The SDK starts it as well, which shows that it runs here.
import { TestWorkflowEnvironment } from '@temporalio/testing';

const [version, downloadDir] = process.argv.slice(2);
if (!version || !downloadDir) throw new Error('usage: download-temporal.mjs VERSION FOLDER');
try {
  const environment = await TestWorkflowEnvironment.createLocal({
    server: { executable: { type: 'cached-download', version, downloadDir } },
  });
  await environment.teardown();
} catch (error) {
  console.error(String(error));
  process.exitCode = 1;
}
