/** The part of a pino logger that the agent uses. */
export interface Log {
  info(message: string): void;
  info(data: object, message: string): void;
  warn(data: object, message: string): void;
  error(data: object, message: string): void;
}
