/*
 * What every design exports besides its own translateMany and scratchBytes: how the host tells it where memory lies
 * and what the registers hold.
 */
export { setRegisters } from "../../../assembly/cpu";
export { setFlatMemory } from "../../../assembly/memory";
