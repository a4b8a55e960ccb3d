namespace TorchSharp.Native;

// Layers, activations and losses.
internal static partial class Ops
{
    internal static readonly Operator binary_cross_entropy = new("binary_cross_entropy");
    internal static readonly Operator binary_cross_entropy_with_logits = new("binary_cross_entropy_with_logits");
    internal static readonly Operator celu = new("celu");
    internal static readonly Operator celu_ = new("celu_");
    internal static readonly Operator cosine_similarity = new("cosine_similarity");
    internal static readonly Operator cross_entropy_loss = new("cross_entropy_loss");
    internal static readonly Operator dropout = new("dropout");
    internal static readonly Operator dropout_ = new("dropout_");
    internal static readonly Operator elu = new("elu");
    internal static readonly Operator elu_ = new("elu_");
    internal static readonly Operator embedding = new("embedding");
    internal static readonly Operator embedding_renorm_ = new("embedding_renorm_");
    internal static readonly Operator gelu = new("gelu");
    internal static readonly Operator gelu_ = new("gelu_");
    internal static readonly Operator glu = new("glu");
    internal static readonly Operator hardsigmoid = new("hardsigmoid");
    internal static readonly Operator hardsigmoid_ = new("hardsigmoid_");
    internal static readonly Operator hardswish = new("hardswish");
    internal static readonly Operator hardswish_ = new("hardswish_");
    internal static readonly Operator hardtanh = new("hardtanh");
    internal static readonly Operator hardtanh_ = new("hardtanh_");
    internal static readonly Operator kl_div = new("kl_div");
    internal static readonly Operator l1_loss = new("l1_loss");
    internal static readonly Operator layer_norm = new("layer_norm");
    internal static readonly Operator leaky_relu = new("leaky_relu");
    internal static readonly Operator leaky_relu_ = new("leaky_relu_");
    internal static readonly Operator linear = new("linear");
    internal static readonly Operator log_sigmoid = new("log_sigmoid");
    internal static readonly Operator log_softmax_int = new("log_softmax", "int");
    internal static readonly Operator mse_loss = new("mse_loss");
    internal static readonly Operator nll_loss = new("nll_loss");
    internal static readonly Operator prelu = new("prelu");
    internal static readonly Operator relu = new("relu");
    internal static readonly Operator relu6 = new("relu6");
    internal static readonly Operator relu6_ = new("relu6_");
    internal static readonly Operator relu_ = new("relu_");
    internal static readonly Operator scaled_dot_product_attention = new("scaled_dot_product_attention");
    internal static readonly Operator selu = new("selu");
    internal static readonly Operator selu_ = new("selu_");
    internal static readonly Operator silu = new("silu");
    internal static readonly Operator silu_ = new("silu_");
    internal static readonly Operator smooth_l1_loss = new("smooth_l1_loss");
    internal static readonly Operator softmax_int = new("softmax", "int");
    internal static readonly Operator softplus = new("softplus");
    internal static readonly Operator threshold = new("threshold");
    internal static readonly Operator threshold_ = new("threshold_");
}
