/** Files that are embedded as text. */
declare module "*.sh" {
  const text: string;
  export default text;
}
declare module "*.nft" {
  const text: string;
  export default text;
}
declare module "*.service" {
  const text: string;
  export default text;
}
declare module "*/holdfastd" {
  const text: string;
  export default text;
}
declare module "*/holdfast-boot" {
  const text: string;
  export default text;
}
declare module "*/holdfast-fence" {
  const text: string;
  export default text;
}
declare module "*/holdfast-guard" {
  const text: string;
  export default text;
}
declare module "*/holdfast-restore" {
  const text: string;
  export default text;
}
declare module "*/holdfast-step" {
  const text: string;
  export default text;
}
declare module "*/holdfast-write" {
  const text: string;
  export default text;
}
