/** A skipped test says why at the end of its own or its group's name: `[skipped: not root]` (test/machine-needs.ts writes it). */
const SKIP_REASON = /\[skipped: ([^\]]+)\]/;

/** Counts checks and tests; `problems` and `skips` are the lines to print before the closing one. */
export class Tally {
  passed = 0;
  failed = 0;
  executedTests = 0;
  problems = [];
  skips = [];

  addCheck(name, passed) {
    if (passed) this.passed += 1;
    else this.fail(`${name} failed`);
  }

  fail(problem) {
    this.failed += 1;
    this.problems.push(problem);
  }

  /**
   * Adds jest's own report (`--json`). A file that fails without a failed test (it does not load, its `afterAll` throws)
   * counts as one failure; a test that is skipped without a reason, too, unless the person asked for a selection of tests.
   */
  addJestReport(report, { selected }) {
    for (const file of report.testResults) {
      const failures = file.assertionResults.filter(({ status }) => status === 'failed').length;
      const passes = file.assertionResults.filter(({ status }) => status === 'passed').length;
      this.passed += passes;
      this.failed += failures;
      this.executedTests += passes + failures;
      if (file.status === 'failed' && failures === 0) this.fail(`${file.name}: the file failed outside its tests (see above)`);
      for (const { status, fullName } of file.assertionResults) {
        if (status !== 'passed' && status !== 'failed') this.addSkip(fullName, status, selected);
      }
    }
  }

  addSkip(name, status, selected) {
    const reason = SKIP_REASON.exec(name)?.[1];
    if (reason !== undefined) this.skips.push(`${name.replace(SKIP_REASON, '').replaceAll(/ +/g, ' ').trim()}: ${reason}`);
    else if (!selected) this.fail(`${name}: ${status} without a reason in its name ("[skipped: …]")`);
  }

  closingLine() {
    return `${this.passed} passed, ${this.failed} failed${this.skips.length > 0 ? `, ${this.skips.length} skipped` : ''}`;
  }
}
