import type { Command } from 'commander';
import { addApi } from './api.ts';
import { addAttach } from './attach.ts';
import { addDelete } from './delete.ts';
import { addDetach } from './detach.ts';
import { addDiscover } from './discover.ts';
import { addDoctor } from './doctor.ts';
import { addEvent } from './event.ts';
import { addExtend } from './extend.ts';
import { addImport } from './import.ts';
import { addManage } from './manage.ts';
import { addMetadata } from './metadata.ts';
import { addRename } from './rename.ts';
import { addResetState } from './reset-state.ts';
import { addQuota } from './quota.ts';
import { addSnapshot } from './snapshot.ts';
import { addTransfer } from './transfer.ts';
import { addUnmanage } from './unmanage.ts';
import { addCompletion } from './completion.ts';
import { addCreate } from './create.ts';
import { exitCodesHelp } from './exit-codes.ts';
import { addBackEndAdopt } from './back-end-adopt.ts';
import { addBalance } from './balance.ts';
import { addEvacuationCancel } from './evacuation-cancel.ts';
import { addEvacuationList } from './evacuation-list.ts';
import { addEvacuationPause } from './evacuation-pause.ts';
import { addEvacuationResume } from './evacuation-resume.ts';
import { addEvacuationSetBandwidth } from './evacuation-set-bandwidth.ts';
import { addEvacuationShow } from './evacuation-show.ts';
import { addEvacuationUnschedule } from './evacuation-unschedule.ts';
import { addEvacuationWatch } from './evacuation-watch.ts';
import { addHostDecommission } from './host-decommission.ts';
import { addHostDisable } from './host-disable.ts';
import { addHostEnable } from './host-enable.ts';
import { addHostEvacuate } from './host-evacuate.ts';
import { addHostList } from './host-list.ts';
import { addHostRemove } from './host-remove.ts';
import { addHostRename } from './host-rename.ts';
import { addHypervisorGone } from './hypervisor-gone.ts';
import { addList } from './list.ts';
import { addMigrate } from './migrate.ts';
import { addMigrationCancel } from './migration-cancel.ts';
import { addMigrationDiscard } from './migration-discard.ts';
import { addMigrationList } from './migration-list.ts';
import { addMigrationPause } from './migration-pause.ts';
import { addMigrationResolve } from './migration-resolve.ts';
import { addMigrationResume } from './migration-resume.ts';
import { addMigrationSetBandwidth } from './migration-set-bandwidth.ts';
import { addMigrationShow } from './migration-show.ts';
import { addMigrationUndo } from './migration-undo.ts';
import { addMigrationWatch } from './migration-watch.ts';
import { addRepair } from './repair.ts';
import { addRetype } from './retype.ts';
import { addGlobalOptions } from './session.ts';
import { addShow } from './show.ts';
import { addTypeCreate } from './type-create.ts';
import { addTypeDelete } from './type-delete.ts';
import { addTypeList } from './type-list.ts';
import { addTypeSet } from './type-set.ts';
import { addTypeShow } from './type-show.ts';
import { addTypeUnset } from './type-unset.ts';
import { nameVolumes } from './volume-argument.ts';

/** Adds everything that users and administrators call; the workers' commands are added by whoever has workers. */
export function addClientCommands(program: Command): void {
  program
    .description('Moves block-storage volumes between storage back ends, as durable workflows.')
    .configureHelp({ showGlobalOptions: true })
    .showSuggestionAfterError()
    .addHelpText(
      'after',
      `\n${exitCodesHelp}\n\nConfiguration: FERRY_DATABASE_URL, or "databaseUrl" in the JSON file that FERRY_CONFIG names; TEMPORAL_ADDRESS and
what else Temporal's SDKs read. FERRY_DEBUG=1 shows where an unexpected error comes from.`,
    );
  addGlobalOptions(program);
  nameVolumes(program);

  const host = program.command('host').description('back ends (node@name), as cinder-manage calls them');
  addHostList(host);
  addHostDisable(host);
  addHostEnable(host);
  addHostEvacuate(host);
  addHostDecommission(host);
  addHostRename(host);
  addHostRemove(host);

  const hypervisor = program.command('hypervisor').description('machines on which guests have volumes');
  addHypervisorGone(hypervisor);

  const backEnd = program.command('back-end').description('what is behind the name of a back end');
  addBackEndAdopt(backEnd);

  addList(program);
  addShow(program);
  addCreate(program);
  addDelete(program);
  addExtend(program);
  addRename(program);
  addMetadata(program);
  addAttach(program);
  addDetach(program);
  addSnapshot(program);
  addTransfer(program);
  addQuota(program);
  addResetState(program);
  addDiscover(program);
  addManage(program);
  addImport(program);
  addUnmanage(program);
  addMigrate(program);
  addRetype(program);
  addBalance(program);

  addRepair(program);
  addEvent(program);
  addDoctor(program);
  addApi(program);
  addCompletion(program);

  const type = program.command('type').description('volume types: what volumes ask of their back end');
  addTypeList(type);
  addTypeShow(type);
  addTypeCreate(type);
  addTypeSet(type);
  addTypeUnset(type);
  addTypeDelete(type);

  const migration = program.command('migration').description('migrations: look at them, steer the running ones');
  addMigrationList(migration);
  addMigrationShow(migration);
  addMigrationWatch(migration);
  addMigrationCancel(migration);
  addMigrationPause(migration);
  addMigrationResume(migration);
  addMigrationSetBandwidth(migration);
  addMigrationResolve(migration);
  addMigrationUndo(migration);
  addMigrationDiscard(migration);

  const evacuation = program
    .command('evacuation')
    .description('evacuations of nodes and back ends: look at them, steer the running ones');
  addEvacuationList(evacuation);
  addEvacuationShow(evacuation);
  addEvacuationWatch(evacuation);
  addEvacuationPause(evacuation);
  addEvacuationResume(evacuation);
  addEvacuationCancel(evacuation);
  addEvacuationSetBandwidth(evacuation);
  addEvacuationUnschedule(evacuation);
}
