/** What a node of a Cluster says about all nodes: CLUSTER NODES, read. https://redis.io/docs/latest/commands/cluster-nodes/ */

export interface ClusterMember {
  readonly id: string
  /** myself, master, slave, fail?, fail, handshake, noaddr … */
  readonly flags: readonly string[]
  /** Of a replica. */
  readonly masterId: string | undefined
  /** Is the teller connected to it? */
  readonly link: 'connected' | 'disconnected'
  /** Ranges of slots, both ends included. */
  readonly slots: readonly { readonly from: number; readonly to: number }[]
}

export interface ClusterView {
  readonly members: readonly ClusterMember[]
  /** Port on which the teller hears the other nodes. */
  readonly busPort: number
  /** Slots that the teller is importing or migrating. */
  readonly openSlots: readonly number[]
}

export interface AgreedSlots {
  /** Id of the master that serves this slot; undefined when none does. */
  owner(slot: number): string | undefined
  /** Masters that serve any slot. */
  readonly masterIds: ReadonlySet<string>
}

/** Reads the reply of CLUSTER NODES. */
export function parseView(reply: string): ClusterView {
  const openSlots: number[] = []
  let busPort = 0
  const members = reply
    .split('\n')
    .filter((line) => line !== '')
    .map((line): ClusterMember => {
      const [id = '', address = '', flags = '', masterId, , , , link, ...slots] = line.split(' ')
      for (const slot of slots) {
        const open = /^\[(\d+)-/.exec(slot)
        if (open) openSlots.push(Number(open[1]))
      }
      if (flags.startsWith('myself')) busPort = Number(/@(\d+)/.exec(address)?.[1])
      return {
        id,
        flags: flags.split(','),
        masterId: masterId === '-' ? undefined : masterId,
        link: link === 'connected' ? 'connected' : 'disconnected',
        slots: slots
          .filter((slot) => !slot.startsWith('['))
          .map((slot) => {
            const [from = Number.NaN, to = from] = slot.split('-').map(Number)
            return { from, to }
          }),
      }
    })
  return { members, busPort, openSlots }
}

/** Who serves what, when all views say the same; else throws, saying how many opinions there are. */
export function agreedSlots(views: readonly ClusterView[]): AgreedSlots {
  const opinions = new Set(views.map(slotMap))
  const [view] = views
  if (opinions.size !== 1 || !view) throw new Error(`${opinions.size} opinions about the slots`)
  return {
    owner: (slot) =>
      view.members.find(({ slots }) => slots.some(({ from, to }) => from <= slot && slot <= to))?.id,
    masterIds: new Set(view.members.filter(({ slots }) => slots.length > 0).map(({ id }) => id)),
  }
}

function slotMap({ members }: ClusterView): string {
  const ranges = members.flatMap(({ id, slots }) => slots.map(({ from, to }) => `${from}-${to} ${id}`))
  return ranges.sort().join('\n')
}
