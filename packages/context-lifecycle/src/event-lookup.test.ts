import { systemClock } from '@weir/core/clock'
import { mintEventId } from '@weir/core/event'
import { destroyKeys } from '@weir/core/keyring/changes'
import { openPipelineView } from '@weir/core/pipeline-view'
import { pipelineViewOptions } from '@weir/core/view/options'
import { describe, expect, it } from 'vitest'
import { contextsOf, pullRequest } from '../../../tests/support/contexts.ts'
import { useKeyrings } from '../../../tests/support/keyring.ts'
import { usePipeline } from '../../../tests/support/pipeline.ts'
import { useRedis } from '../../../tests/support/redis.ts'
import { createEventLookup } from './event-lookup.ts'

const redis = useRedis({ appendfsync: 'no' })
const keyrings = useKeyrings()
const openPipeline = usePipeline(redis)
const PLAN = { tenant: 'acme', type: 'pull_request', json: pullRequest(7, 'opened') } as const

describe('an event', () => {
  it('is told with its context, and from its context when nobody else knows it any more', async () => {
    const pipeline = await openPipeline()
    const { contexts, remember } = contextsOf(pipeline)
    const events = createEventLookup(pipeline.view, contexts)
    const { id, body } = await pipeline.accept(PLAN)
    const [entry] = await pipeline.read('consumer')
    expect(await events.find(id)).toEqual({
      ...(await pipeline.view.find(id)),
      context: null,
      idle_ms: expect.any(Number),
    })
    const [context] = await remember(entry!)
    expect(await events.find(id)).toMatchObject({ place: 'pending', context })

    await pipeline.settle(entry!)
    const { link, keys } = pipeline
    const settled = await events.find(id)
    expect(settled).toMatchObject({ place: 'settled', stream_id: expect.any(String), context })
    await link.call('XTRIM', keys.stream, 'MAXLEN', 0)
    const trimmed = { ...settled, stream_id: null }
    expect(await events.find(id)).toEqual(trimmed)
    expect(await events.bytes(id)).toMatchObject({ kind: 'bytes', body })
    // The long memory forgets too.
    for (const key of (await link.call('KEYS', '*')) as Buffer[])
      if (!String(key).includes(':context')) await link.call('DEL', key)
    expect(await pipeline.view.find(id)).toBeUndefined()
    expect(await events.find(id)).toEqual(trimmed)
    expect(await events.bytes(id)).toMatchObject({ kind: 'bytes', body })

    expect(await createEventLookup(pipeline.view, undefined).find(id)).toBeUndefined()
    expect(await createEventLookup(pipeline.view, undefined).bytes(id)).toBeUndefined()
    const stranger = mintEventId(Date.now())
    expect(await events.find(stranger)).toBeUndefined()
    expect(await events.bytes(stranger)).toBeUndefined()
  })

  it('that is in no context has no bytes when the stream has not got them any more', async () => {
    const pipeline = await openPipeline()
    const { contexts, remember, keys } = contextsOf(pipeline)
    const events = createEventLookup(pipeline.view, contexts)
    const { id } = await pipeline.accept(PLAN)
    const entries = await pipeline.read('consumer')
    await pipeline.settle(...entries)
    await pipeline.link.call('XTRIM', pipeline.keys.stream, 'MAXLEN', 0)
    expect(await events.find(id)).toMatchObject({ place: 'settled', context: null, bytes_available: false })
    expect(await events.bytes(id)).toEqual({ kind: 'gone' })
    // The index of a context that has gone.
    const [context = ''] = await remember(...entries)
    await pipeline.link.call('DEL', keys.head(context), keys.raw(context))
    expect(await events.find(id)).toMatchObject({ context, bytes_available: false, bytes_problem: null })
    expect(await events.bytes(id)).toEqual({ kind: 'gone' })
  })

  it('whose key was destroyed is still told, and says why its bytes cannot be had', async () => {
    const keyring = keyrings.open()
    const pipeline = await openPipeline({ sealing: keyring })
    const { contexts, remember } = contextsOf(pipeline, keyring)
    // With a keyring, as the operations API has it.
    const view = openPipelineView(
      pipelineViewOptions(
        pipeline.config,
        [{ keys: pipeline.keys, link: pipeline.link }],
        systemClock,
        keyring,
      ),
    )
    const events = createEventLookup(view, contexts)
    const { id, body } = await pipeline.accept(PLAN)
    const entries = await pipeline.read('consumer')
    const [context] = await remember(...entries)
    await pipeline.settle(...entries)
    await pipeline.link.call('XTRIM', pipeline.keys.stream, 'MAXLEN', 0)
    expect(await events.bytes(id)).toMatchObject({ kind: 'bytes', body })
    await destroyKeys(keyrings.store, 'acme', 5)
    await keyring.lookAgain('acme')
    const gone = { context, bytes_available: false, bytes_problem: expect.stringContaining('was destroyed') }
    expect(await events.find(id)).toMatchObject(gone)
    await expect(events.bytes(id)).rejects.toMatchObject({ code: 'KEY_DESTROYED' })
    // Once the context goes on under a new key, its head opens, and the bytes from before still do not.
    await keyring.prepare('acme')
    await pipeline.accept({ ...PLAN, json: pullRequest(7, 'closed') })
    await remember(...(await pipeline.read('consumer')))
    expect(await events.find(id)).toMatchObject({ ...gone, tool: 'github', tenant: 'acme' })
    await expect(events.bytes(id)).rejects.toMatchObject({ code: 'KEY_DESTROYED' })
  })
})
