// Writes template.json, what CloudFormation is given.
import { writeFileSync } from 'node:fs'
import { synthesise } from './template.js'

writeFileSync(new URL('template.json', import.meta.url), JSON.stringify(synthesise().toJSON(), null, 1) + '\n')
