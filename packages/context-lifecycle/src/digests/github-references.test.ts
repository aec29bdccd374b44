import { describe, expect, it } from 'vitest'
import { digest, keysOf } from './digests.test-support.ts'

const repository = {
  full_name: 'acme/site',
  default_branch: 'main',
  html_url: 'https://github.acme.example/acme/site',
}

describe('what GitHub says of pull requests', () => {
  const pull = {
    number: 42,
    state: 'closed',
    merged: true,
    merged_at: '2026-02-03T04:05:06Z',
    closed_at: '2026-02-03T04:05:06Z',
    updated_at: '2026-02-03T04:05:09Z',
    title: 'PROJ-12: faster pages',
    body: 'Fixes #41, see acme/docs#7 and https://github.acme.example/acme/site/issues/40.\n<!-- #1 @nobody -->',
    head: { ref: 'feature/PROJ-13-x', sha: 'a'.repeat(40), repo: { full_name: 'fork/site' } },
    merge_commit_sha: 'b'.repeat(40),
    base: { ref: 'main' },
  }

  it('a merge is told from a mere closing, with its own time', () => {
    const made = digest(
      'github',
      { action: 'closed', repository, pull_request: pull, sender: { login: 'mia' } },
      'pull_request',
    )
    expect(made).toMatchObject({
      what: 'merged',
      state: 'merged',
      who: 'mia',
      at: Date.UTC(2026, 1, 3, 4, 5, 6),
    })
    expect(keysOf(made)).toEqual([
      'jira PROJ-12',
      'jira PROJ-13',
      'github acme/site#41',
      'github acme/docs#7',
      'github acme/site#40',
      `github acme/site@${'a'.repeat(40)}`,
      'github fork/site@refs/heads/feature/PROJ-13-x',
      `github acme/site@${'b'.repeat(40)}`,
    ])
  })

  it.each([
    ['approved', 'approved'],
    ['changes_requested', 'requested changes'],
    ['APPROVED', 'approved'],
    ['commented', 'commented'],
  ])('a review that is %s reads: %s', (state, what) => {
    const review = { state, body: 'Ask @Alice, not a@b.example', submitted_at: '2026-02-01T00:00:00Z' }
    const made = digest(
      'github',
      { action: 'submitted', repository, pull_request: pull, review },
      'pull_request_review',
    )
    expect(made).toMatchObject({ what, state: 'merged', people: ['alice'], at: Date.UTC(2026, 1, 1) })
  })

  it('a comment on a pull request knows that it was merged', () => {
    const issue = { number: 42, state: 'closed', pull_request: { merged_at: '2026-02-03T04:05:06Z' } }
    const made = digest(
      'github',
      { action: 'created', repository, issue, comment: { body: 'Thanks, PROJ-9!' } },
      'issue_comment',
    )
    expect(made).toMatchObject({
      what: 'commented',
      state: 'merged',
      references: [{ tool: 'jira', key: 'PROJ-9' }],
    })
  })
})

describe('what GitHub says of pushes and runs', () => {
  const commits = ['One for #7', 'Two\n\nPROJ-5', 'Three'].map((message, i) => ({
    id: `${i}`.repeat(40),
    message,
  }))
  const push = {
    ref: 'refs/heads/main',
    repository,
    commits,
    head_commit: commits[2],
    sender: { login: 'mia' },
  }

  it('a push counts its commits and refers to what they name, then to them, newest first', () => {
    const made = digest('github', push, 'push')
    expect(made).toMatchObject({
      what: 'pushed 3 commits',
      title: 'Three',
      defaultBranch: true,
      text: 'One for #7 Two PROJ-5 Three',
    })
    expect(keysOf(made)).toEqual([
      'github acme/site#7',
      'jira PROJ-5',
      ...[2, 1, 0].map((i) => `github acme/site@${`${i}`.repeat(40)}`),
    ])
  })

  it.each([
    [{ forced: true }, 'force-pushed'],
    [{ deleted: true, commits: [], head_commit: null }, 'deleted the branch'],
    [{ created: true, commits: [] }, 'created the branch'],
    [{ commits: [{}] }, 'pushed 1 commit'],
    [{ commits: undefined }, 'pushed'],
  ])('%j reads: %s', (more, what) => {
    expect(digest('github', { ...push, ...more }, 'push').what).toBe(what)
  })

  it("a fork's main is not the default branch, and its pull request lies where its address says", () => {
    const run = {
      id: 7,
      name: 'CI',
      status: 'completed',
      conclusion: 'timed_out',
      head_branch: 'main',
      head_sha: 'c'.repeat(40),
      head_repository: { full_name: 'fork/site' },
      pull_requests: [{ number: 3, url: 'https://api.github.com/repos/other/site/pulls/3' }, { number: 4 }],
      updated_at: '2026-03-01T00:00:00Z',
    }
    const made = digest('github', { action: 'completed', repository, workflow_run: run }, 'workflow_run')
    expect(made).toMatchObject({ what: 'run timed out', state: 'timed_out', severity: 'error' })
    expect(made.defaultBranch).toBeUndefined()
    expect(keysOf(made)).toEqual([
      'github other/site#3',
      'github acme/site#4',
      `github acme/site@${'c'.repeat(40)}`,
      'github fork/site@refs/heads/main',
    ])
  })

  it('a check of GitHub Actions names its run', () => {
    const check_run = {
      name: 'test',
      head_sha: 'd'.repeat(40),
      status: 'completed',
      conclusion: 'failure',
      details_url: 'https://github.acme.example/acme/site/actions/runs/77/job/5',
      check_suite: { head_branch: 'fix-PROJ-3' },
    }
    const made = digest('github', { action: 'completed', repository, check_run }, 'check_run')
    expect(keysOf(made)).toEqual([
      'jira PROJ-3',
      'github acme/site/runs/77',
      'github acme/site@refs/heads/fix-PROJ-3',
    ])
  })
})
